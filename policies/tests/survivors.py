"""Mutants that nothing tells, by module and by the reason why."""

from collections.abc import Mapping, Sequence

_SAME = "It decides the same: the other value matches nothing either, or what follows is the same without it."
_SAID = "It changes only what is said, or what a rule says that does not apply."
_OF_THE_STACK = "The config of the stack, which cases here have not: test_pack.py judges with it."

SURVIVORS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "cold_start": {
        # The least memory is one step.
        _SAME: (
            "_service_outlives_gateway: str(service.at(path) or unset).rstrip('s') -> str(service.at(path) or unset).rstrip('s~')",
            "_serverless: came - low -> came + low",
            "_amount: ' KMGTP' -> ' KMGTP~'",
            "_run_memory: 0 -> 1",
            "_run_memory: 0 -> 1 #3",
            "_run_memory: sizes[1] -> sizes[2]",
            "_model_elsewhere: variable.at('value', '') -> variable.at('value', '~')",
        ),
    },
    "cost": {
        _SAME: (
            "_floor: path == _BY_HAND and came and (part.at('scaling.scalingMode') != 'MANUAL') -> "
            "path == _BY_HAND and part.at('scaling.scalingMode') != 'MANUAL'",
            "_sent: base64.b64decode(body).decode('latin-1') -> base64.b64decode(body).decode('latin-1~')",
        ),
    },
    "delivery": {
        _SAME: (
            "_push_deadline: str(service.at('template.timeout', '300s')).rstrip('s') -> "
            "str(service.at('template.timeout', '300s')).rstrip('s~')",
        ),
        _SAID: ("_readers: told and (not _of_queue(mapping)) -> not _of_queue(mapping)",),
    },
    "documents": {
        # An ARN of a queue has its name alone.
        _SAME: (
            "_WITHOUT_KIND: 'sqs' -> 'sqs~'",
            "kept_out: '' -> '~'",
            "kept_out: '' -> '~' #2",
            "_literal: text.strip('*?') -> text.strip('*?~')",
        ),
    },
    "model": {
        _SAME: (
            "inbound_of: ' ' -> ' ~'",
            "without_comments: policy.at('value', '') -> policy.at('value', '~')",
            "without_comments: re.sub('<!--.*?-->', '', str(policy.at('value', '')), flags=re.DOTALL) -> "
            "re.sub('<!--.*?-->', '~', str(policy.at('value', '')), flags=re.DOTALL)",
        ),
        _SAID: ("between: '' -> '~'",),
    },
    "operations": {
        _SAME: (
            "_of_filter: re.sub('(?m)^\\\\s*(#|--).*$', '', str(condition.at(path))) -> "
            "re.sub('(?m)^\\\\s*(#|--).*$', '~', str(condition.at(path)))",
            "_query: re.sub('//.*', '', str(condition.at('query'))) -> re.sub('//.*', '~', str(condition.at('query')))",
            "_service: config.get('pilotlight:service', '') -> config.get('pilotlight:service', '~')",
            "_runtime: match[2].strip('.') -> match[2].strip('.~')",
        ),
        _OF_THE_STACK: (
            "_goes_with_stack: written == 'as-the-stack-says' -> written == 'as-the-stack-says~'",
            "_goes_with_stack: STACK.config is None -> STACK.config is not None",
            "_goes_with_stack: _service(STACK.config).get('dataRetention') -> _service(STACK.config).get('dataRetention~')",
            "_service: config.get('pilotlight:service', '') -> config.get('pilotlight:service~', '')",
            "_service: isinstance(service, dict) -> not isinstance(service, dict)",
        ),
    },
    "security_access": {
        _SAME: (
            "_route: '' -> '~'",
            "_route: told and (key == '$connect' or (' ' in key and (not key.startswith('OPTIONS ')))) -> "
            "key == '$connect' or (' ' in key and (not key.startswith('OPTIONS ')))",
        ),
    },
    "security_data": {
        _SAME: ("_listed: variable.at('name', '') -> variable.at('name', '~')",),
    },
    "security_identity": {
        _SAME: (
            "_wildcard_action: set('*?') -> set('*?~')",
            "_admin_of_azure: str(resource.at('roleDefinitionId')).rsplit('/', 1) -> str(resource.at('roleDefinitionId')).rsplit('/', 2)",
        ),
    },
}
