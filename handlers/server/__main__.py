"""python -m handlers.server

One process of the model server: a Lambda runtime where AWS_LAMBDA_RUNTIME_API is set, else an HTTP server. Arguments are
ignored (SageMaker runs an image with `serve`). Exit status: 0 after a signal, 1 when the settings or the model can't be used.
"""

import gc
import os
import sys
from functools import partial

# New objects, more than those that are gone, after which the collector looks through them; Python's own are 700.
_YOUNG = 5_000


def main() -> int:
    """Runs until the platform ends it; the imports are inside, since each contract needs its own."""
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:
        from awslambdaric import bootstrap
        from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

        bootstrap.run("handlers.server.lambda_entry.handler", LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))
        return 0
    return _serve_http()


def _serve_http() -> int:
    # Nothing of what is imported is ever garbage.
    gc.disable()
    _leave_for_later()
    from handlers.web import process

    process.leave_on_signals()
    from handlers.server.stages import Stages

    stages = Stages.since_process_start()
    from handlers.engines.manifest import ModelError
    from handlers.functions import logs
    from handlers.functions.environment import SettingsError
    from handlers.settings import HandlerSettings

    mistakes: list[str] = []
    try:
        settings = HandlerSettings.from_environment(os.environ)
    except SettingsError as error:
        mistakes.append(str(error))
    try:
        _collect_spans()
    except SettingsError as error:
        mistakes.append(str(error))
    if mistakes:
        logs.write("settings_refused", level="ERROR", message="\n".join(mistakes))
        return 1
    if settings.workers > 1:
        gc.enable()
        _write_lines_faster()
        _without_tls()
        from handlers.server.processes import serve_several

        return serve_several(settings, stages)
    from handlers.engines.loading import begin
    from handlers.web.listening import listener

    try:
        process.hold()
        # At once: a platform's probe finds the port, and who comes now waits, where it would be refused and try time and again.
        listening = listener(settings.bind_host, settings.port)
    except OSError as error:
        logs.write("port_taken", level="ERROR", message=str(error))
        return 1
    # The model comes up in its own thread while the HTTP side is imported.
    loader = begin(settings, stages.mark)
    from handlers.server.service import Service

    service = Service(settings, stages, loader)
    service.start()
    from handlers.server.http_server import serve

    _without_tls()
    _write_lines_faster()
    gc.freeze()
    # What most requests leave is freed by their last reference; what 32 of them have at once made the collector look every other moment.
    gc.set_threshold(_YOUNG)
    gc.enable()
    failure = serve(service, listening)
    if isinstance(failure, ModelError):
        logs.write("model_refused", level="ERROR", message=str(failure))
    elif failure is not None:
        logs.write_fault("model_failed", failure)
    return 0 if failure is None else 1


def _leave_for_later() -> None:
    """What the standard library and uvicorn import, and this server does not use unless it is asked to: before there are other threads."""
    from handlers.functions.later import later

    for name in ("ipaddress", "pickle", "textwrap", "tokenize"):
        later(name)
    later("platform", system=lambda: os.uname().sysname)
    later("subprocess", PIPE=-1, STDOUT=-2, DEVNULL=-3)
    # uvicorn's defaults are of it, which OpenSSL has as numbers too.
    later("ssl", PROTOCOL_TLS_SERVER=17, CERT_NONE=0)
    later("asyncio.sslproto")


def _without_tls() -> None:
    """Of every socket asyncio asks whether TLS is its own affair."""
    import asyncio

    from handlers.functions.later import NothingIs

    vars(asyncio.base_events)["ssl"] = NothingIs("ssl", "SSLSocket")
    vars(asyncio).setdefault("sslproto", sys.modules["asyncio.sslproto"])


def _write_lines_faster() -> None:
    """A line for every request takes a tenth of the time then that it takes by the encoder that every function has."""
    import orjson

    from handlers.functions import logs

    logs.encode_by(partial(orjson.dumps, default=repr))


def _collect_spans() -> None:
    """What sends spans is imported where they are asked for, by no other start. Raises SettingsError."""
    if "APPLICATIONINSIGHTS_CONNECTION_STRING" in os.environ:
        from handlers.functions.azure.settings import collect_spans
        from handlers.functions.environment import Environment

        environment = Environment(os.environ)
        collect_spans(environment)
        environment.check()
    elif "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ or "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in os.environ:
        from handlers.functions import otlp

        otlp.start(os.environ)


if __name__ == "__main__":
    sys.exit(main())
