"""`pulumi package get-schema ./components`: what the real command line makes of the plugin is what is committed."""

import os
import subprocess
from pathlib import Path

from pilotlight import toolchain

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60


def test_the_command_line_reads_the_committed_schema_from_the_plugin(tmp_path: Path) -> None:
    tools = toolchain.find()
    assert tools is not None, "run `make setup`"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")} | {
        "PATH": os.pathsep.join([*(str(each) for each in tools.path), os.environ["PATH"]]),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    command = [tools.pulumi, "package", "get-schema", "./components"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "components/schema.json").read_text(), "run the command, into components/schema.json"
