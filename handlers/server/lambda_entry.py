"""What Lambda's runtime client imports in the init phase: the import itself loads the model.

So a model that can't be served, or a bad variable, is reported as a failed init with its message.
"""

import os

from handlers.server.lambda_runtime import LambdaHandler
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings


def _handler() -> LambdaHandler:
    stages = Stages.since_process_start()
    service = Service(HandlerSettings.from_environment(os.environ), stages)
    service.start()
    if not os.environ.get("RESULTS_TABLE"):
        service.worker.loaded.result()
        return LambdaHandler(service)
    from handlers.server.lambda_events import event_function, make_clients  # boto3, which only this pattern needs

    clients = make_clients()
    service.worker.loaded.result()
    return LambdaHandler(service, event_function(service, clients).handle)


handler = _handler()
