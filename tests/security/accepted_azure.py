"""Failed checks of checkov on Azure that stay, each with the reason why it does not apply; `address` is over `TYPE.NAME`. What checkov
looks for in Terraform's programs alone, and not in templates, is answered beside it.
"""

from collections.abc import Mapping

from tests.security.accepted_checks import NotApplied

_REGISTRY, _GATEWAY, _STORAGE = "Microsoft.ContainerRegistry/registries.*", "Microsoft.ApiManagement/service.*", "Microsoft.Storage/*"
_PREMIUM = "Of the tier Premium, which costs ten times what Basic does, by the day, whether anybody calls or not. {}"
_NO_WAY_IN = (
    "Needs a network of one's own with a private endpoint, billed by the hour, and {} inside it. Nobody comes in without a role: {}"
)
_NO_KEY = "nothing is public, no key opens the account, and each role is on one container, queue or table."
_COSMOS = "Microsoft.DocumentDB/databaseAccounts.*"
_COPIES = "A second region would be billed for a copy. {}"


def _account(role: str) -> str:
    return f"Microsoft.Storage/storageAccounts.{role}*"


AZURE: tuple[NotApplied, ...] = (
    NotApplied(
        ("CKV_AZURE_139",),
        _REGISTRY,
        _PREMIUM.format("Nobody pulls without a token: no admin user, no anonymous pull, AcrPull by identity."),
    ),
    NotApplied(
        ("CKV_AZURE_163",), _REGISTRY, _PREMIUM.format("The check asks for a tier; scanning itself is Defender's, the subscription's.")
    ),
    NotApplied(("CKV_AZURE_166",), _REGISTRY, _PREMIUM.format("Quarantine holds back what others push; here the deployer alone pushes.")),
    NotApplied(("CKV_AZURE_233",), _REGISTRY, _PREMIUM.format("An image is built again from its sources.")),
    NotApplied(
        ("CKV_AZURE_107", "CKV_AZURE_174"),
        _GATEWAY,
        "The tier Consumption, the only one that costs nothing at rest, has no place in a network (API Management documentation, feature "
        "comparison of the tiers). Callers are outside, and need a key or a token.",
    ),
    NotApplied(
        ("CKV_AZURE_35",),
        _account("models"),
        _NO_WAY_IN.format(
            "whoever deploys, from whose machine the provider uploads,", "blobs are private and the keys are the deployer's."
        ),
    ),
    NotApplied(("CKV_AZURE_35",), _account("work"), _NO_WAY_IN.format("whoever uploads objects", _NO_KEY)),
    NotApplied(("CKV_AZURE_35",), _account("results"), _NO_WAY_IN.format("whoever reads results", _NO_KEY)),
    NotApplied(("CKV_AZURE_35",), _account("answers"), _NO_WAY_IN.format("the function", _NO_KEY)),
    NotApplied(("CKV_AZURE_35",), _account("letters"), _NO_WAY_IN.format("whoever replays", _NO_KEY)),
    NotApplied(("CKV_AZURE_36",), _STORAGE, "Exceptions from a firewall, and there is none: see CKV_AZURE_35."),
    NotApplied(("CKV_AZURE_206",), _account("models"), _COPIES.format("The model is packaged again from its source, byte for byte.")),
    NotApplied(("CKV_AZURE_206",), _account("work"), _COPIES.format("Whose objects these are knows whether they are worth it.")),
    NotApplied(("CKV_AZURE_206",), _account("results"), _COPIES.format("Results are made again from the objects.")),
    NotApplied(("CKV_AZURE_206",), _account("answers"), _COPIES.format("Answers expire after hours.")),
    NotApplied(
        ("CKV_AZURE_99", "CKV_AZURE_101"),
        _COSMOS,
        _NO_WAY_IN.format("whoever reads results", "no key opens the account, and its one role is the function's."),
    ),
    NotApplied(("CKV_AZURE_206",), _account("letters"), _COPIES.format("Dead letters expire after two weeks.")),
)
# Its checks of the types that stacks here have, by who answers: checkov over templates, a rule of `psrule.py` or of `azure_rules.py`, or
# the reason why it does not apply. CKV_AZURE_59 passes an account that says nothing of its public address, which Azure then gives it: why
# there is one tells CKV_AZURE_35.
JUDGED = frozenset(f"CKV_AZURE_{number}" for number in (3, 34, 35, 36, 44, 59, 99, 101, 107, 137, 138, 139, 163, 166, 173, 174, 206, 233))
OTHERWISE: Mapping[str, str] = {
    "CKV_AZURE_132": "Azure.Cosmos.DisableMetadataWrite",
    "CKV_AZURE_140": "Azure.Cosmos.NoSQLLocalAuth",
    "CKV_AZURE_190": "Azure.Storage.BlobPublicAccess",
    "CKV_AZURE_191": "Azure.EventGrid.ManagedIdentity",
    "CKV_AZURE_215": "unencrypted",
    "CKV_AZURE_244": "CKV_AZURE_244",
    "CKV2_AZURE_40": "Azure.Storage.LocalAuth",
    "CKV2_AZURE_47": "Azure.Storage.BlobPublicAccess",
}
_NO_TOPIC = "Of topics and domains that publishers send to: a system topic has no address, and no key."
_OWN_KEY = (
    "Everything is encrypted with keys of Microsoft's. One of one's own lies in a vault, billed by its uses, and who loses it has lost all."
)
NOT_JUDGED: Mapping[str, str] = {
    "CKV_AZURE_33": "Each request would be a line, billed by the gigabyte. What is put into queues, and what waits there, is counted free.",
    "CKV_AZURE_100": _OWN_KEY,
    "CKV_AZURE_106": _NO_TOPIC,
    "CKV_AZURE_152": "A certificate of each caller's, which the tier Consumption asks for in the place of nothing else. Callers show a key "
    "or a token.",
    "CKV_AZURE_164": _PREMIUM.format("Images are named by their digests, which no other content has."),
    "CKV_AZURE_167": _PREMIUM.format("Every build has a tag, so that it would delete nothing."),
    "CKV_AZURE_192": _NO_TOPIC,
    "CKV_AZURE_193": _NO_TOPIC,
    "CKV_AZURE_194": _NO_TOPIC,
    "CKV_AZURE_195": _NO_TOPIC,
    "CKV2_AZURE_1": _OWN_KEY,
    "CKV2_AZURE_33": _NO_WAY_IN.format("the functions", _NO_KEY),
    "CKV2_AZURE_38": "What is deleted would be billed for days, and nothing here deletes an object that was not to expire.",
    "CKV2_AZURE_41": "Of signatures made with a key: accounts take none, and nobody makes one with the key of the models' account.",
}
