"""What every output is, in a sentence, for the pages' tables; settings have theirs in `stacks/words.py`. Tests find what is missing or
gone."""

from collections.abc import Mapping

OUTPUTS: Mapping[str, str] = {
    "url": "full URL of `POST /predict`",
    "authMode": "the setting `auth.mode`",
    "apiKey": "the key that callers send as `x-api-key`; a secret",
    "apiKeyCommand": "the command that shows it",
    "pattern": "the setting `pattern`",
    "platform": "the setting `endpoint.platform`",
    "endpointName": "the endpoint: SageMaker's, the Cloud Run service, or the container app",
    "functionName": "the function",
    "functionAlias": "its alias that callers use",
    "logGroups": "every log group of the stack",
    "region": "where it is",
    "project": "the Google Cloud project, or Azure's resource group, that it is in",
    "floor": "instances that the warming plan wants at the moment of the `up`",
    "scheduleGroup": "the group of the warming schedules",
    "dashboardUrl": "the dashboard",
    "answersDatabase": "what the answers' rows are part of: the Firestore database, or the account's tables",
    "answersTable": "the answers' rows: the table, or the collection",
    "answersQueueUrl": "the queue of work that was handed over",
    "deadLetterQueueUrl": "where `pilotlight replay` takes the dead letters from: the queue, or the subscription",
    "objectsBucket": "where to upload: the bucket, or the container",
    "objectsUrl": "the address of that container",
    "queueUrl": "the queue of object events",
    "replayTopic": "where `pilotlight replay` sends them again",
    "resultsDatabase": "what the results' rows are part of: the Firestore database, or the tables of an account (Azure Storage, Cosmos DB)",
    "resultsTable": "one row per object version: the table, or the collection",
    "resultsBucket": "results that are too large for a row",
    "resultsQueueUrl": "results as messages: the queue, or the subscription",
}
