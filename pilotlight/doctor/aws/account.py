"""Checks of the account: whose credentials these are, its log role, its budgets, its cost-allocation tags, mails to confirm."""

from collections.abc import Iterator

from pilotlight.doctor.aws.grants import grant
from pilotlight.doctor.findings import DENIED, Finding, code_of, fail, ok, warn
from pilotlight.doctor.subject import Identity, Subject

# Codes of STS for keys that are none, or are no longer.
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_LOGIN = "aws sso login, or aws configure"


def credentials(subject: Subject) -> tuple[Finding, Identity | None]:
    """The credentials are good, and of the account that the stack may go to."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if subject.clients.session().get_credentials() is None:
            return fail("credentials", "no AWS credentials were found", allowed="credentials of the account", mend=_LOGIN), None
        found = subject.clients.of("sts", subject.region or "us-east-1").get_caller_identity()
    except ClientError as error:
        said = "the credentials have expired" if code_of(error) in _EXPIRED else f"AWS refuses the credentials: {error}"
        return fail("credentials", said, allowed="valid credentials", mend=_LOGIN), None
    except BotoCoreError as error:
        return fail("credentials", f"AWS can't be asked: {error}", allowed="valid credentials", mend=_LOGIN), None
    identity = Identity(account=str(found["Account"]), arn=str(found["Arn"]))
    said = f"account {identity.account}, {identity.arn}"
    meant = subject.config.get("aws:allowedAccountIds")
    if isinstance(meant, list) and identity.account not in map(str, meant):
        return fail("credentials", said, allowed=f"account {' or '.join(map(str, meant))}", mend="export AWS_PROFILE=PROFILE"), identity
    if identity.arn.endswith(":root"):
        return warn("credentials", said, allowed="a role or a user with the rights to deploy", mend=_LOGIN), identity
    return ok("credentials", said), identity


def log_role(subject: Subject) -> Iterator[Finding]:
    """`accessLogs.accountRole: existing` relies on a role that the account has (API Gateway API reference, GetAccount)."""
    logs = subject.settings.access_logs if subject.settings else None
    if logs is None or logs.account_role != "existing":
        return
    role = subject.clients.of("apigateway", subject.region).get_account().get("cloudwatchRoleArn")
    if role:
        yield ok("log-role", str(role))
    else:
        yield fail(
            "log-role",
            f"API Gateway has no role for logs in {subject.region}, and accessLogs.accountRole is `existing`",
            allowed="a role, or accessLogs.accountRole: create",
            mend="aws apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE_ARN",
        )


def budget(subject: Subject) -> Iterator[Finding]:
    """Budgets can be read: IAM's access to billing is off in an account until its root user switches it on."""
    from botocore.exceptions import ClientError

    if subject.settings is None or subject.settings.budget is None:
        return
    try:
        subject.clients.of("budgets", subject.region).describe_budgets(AccountId=subject.account, MaxResults=1)
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        yield fail(
            "budget",
            f"{subject.identity.arn if subject.identity else ''} may not see budgets",
            allowed="budgets:ViewBudget and budgets:ModifyBudget, and IAM access to billing, which the root user switches on",
            mend=grant(subject, {("*",): ["budgets:ViewBudget", "budgets:ModifyBudget"]}),
        )
        return
    yield ok("budget", "budgets can be read")


def cost_tags(subject: Subject) -> Iterator[Finding]:
    """The stack's tags split the bill once they are activated (Cost Explorer API reference, ListCostAllocationTags)."""
    from components.tags import DEPLOYMENT, standard

    wanted = list(standard(subject.project.name, subject.stack))
    found = subject.clients.of("ce", subject.region).list_cost_allocation_tags(TagKeys=wanted, Status="Active")["CostAllocationTags"]
    missing = [name for name in wanted if name not in {tag["TagKey"] for tag in found}]
    if not missing:
        yield ok("cost-tags", f"{', '.join(wanted)} are active")
        return
    # The stack's budget counts what carries its tag, and without the tag in the bill it counts nothing.
    blind = subject.settings is not None and subject.settings.budget is not None and DEPLOYMENT in missing
    entries = " ".join(f"TagKey={name},Status=Active" for name in missing)
    yield warn(
        "cost-tags",
        f"the bill is not split by {', '.join(missing)}{', so that the budget of this stack sees no cost' if blind else ''}",
        allowed="active cost-allocation tags (they can be activated a day after the first `up`)",
        mend=f"aws ce update-cost-allocation-tags-status --cost-allocation-tags-status {entries}",
    )


def mail(subject: Subject) -> Iterator[Finding]:
    """Who is to be mailed has followed the link in the first mail (SNS API reference, ListSubscriptionsByTopic)."""
    from botocore.exceptions import ClientError

    from components.aws.names import names_of

    settings = subject.settings
    address = settings.alarms.email if settings else None
    if settings is None or address is None:
        return
    topic = f"arn:{subject.partition}:sns:{subject.region}:{subject.account}:{names_of(subject.project.name, subject.stack).topic}"
    try:
        pages = subject.clients.of("sns", subject.region).get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        found = {one["Endpoint"]: one["SubscriptionArn"] for page in pages for one in page["Subscriptions"]}
    except ClientError as error:
        if code_of(error) not in ("NotFound", "NotFoundException"):
            raise
        yield ok("mail", f"{address} gets a mail to confirm with the first `up`")
        return
    if found.get(address, "").startswith("arn:"):
        yield ok("mail", f"{address} is confirmed")
    else:
        yield warn(
            "mail",
            f"{address} has not confirmed: alarms reach nobody",
            allowed="the link in the mail from AWS Notifications, followed",
            mend=f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {address}",
        )
