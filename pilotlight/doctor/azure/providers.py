"""Check of the resource providers: a subscription has what it is registered for, and new ones are for little."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pilotlight.doctor.azure.rights_table import registered
from pilotlight.doctor.findings import Finding, fail, ok, warn
from pilotlight.doctor.subject import Subject

# Resource Manager API, providers.get.
VERSION = "2021-04-01"


def providers(subject: Subject) -> Iterator[Finding]:
    """Each one is registered. Whether the provider of Pulumi would do it itself is not documented, and it has not for Microsoft.Insights
    (pulumi-azure-native issue 3479)."""
    assert subject.settings is not None
    manager, start = subject.clients.manager(), f"/subscriptions/{subject.account}/providers"
    wanted = registered(subject.settings)
    with ThreadPoolExecutor(len(wanted)) as pool:
        told = pool.map(lambda name: str(manager.ask(f"{start}/{name}", VERSION).get("registrationState")), wanted)
        states = dict(zip(wanted, told, strict=True))
    off = [name for name, state in states.items() if state not in ("Registered", "Registering")]
    under_way = [name for name, state in states.items() if state == "Registering"]
    if off:
        yield fail(
            "providers",
            f"the subscription is not registered for {', '.join(off)}",
            allowed="Registered",
            mend=" && ".join(f"az provider register --namespace {name} --subscription {subject.account} --wait" for name in off),
        )
    elif under_way:
        mend = f"wait until `az provider show --namespace {under_way[0]} --query registrationState` says so"
        yield warn("providers", f"{', '.join(under_way)}: Registering", allowed="Registered", mend=mend)
    else:
        yield ok("providers", f"all {len(states)} are registered")
