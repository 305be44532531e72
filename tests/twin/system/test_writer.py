"""A model that writes, on a stack with a GPU: the file that `init` gives, the image with torch, which computes on the CPU here.

The environment of that image is 7 GB, made once per user.
"""

from tests.parts.packaging.test_packaged_writers import write_llama
from tests.support.deployment import Deployment, followed, post
from tests.support.size import only_all


@only_all
def test_a_stack_that_writes_is_made_deployed_and_answers(deployment: Deployment) -> None:
    write_llama(deployment.checkout / "writer", eos_token_id=2)
    said = ["--platform", "gcp-cloud-run", "--gpu", "l4", "--pattern", "api", "--task", "text-generation", "--model", "writer"]
    deployment.run("init", "my-writer", *said, "--account", "a-project-1", "--yes")
    deployment.up("my-writer")
    outputs = deployment.outputs("my-writer")
    answer = followed(outputs, post(outputs, {"inputs": "cold start", "parameters": {"max_new_tokens": 5}}, timeout=120))
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["outputs"]
    assert row["prompt_tokens"] == 2
    # The likeliest tokens of these weights: the second one ends the text.
    assert (row["generated_tokens"], row["finish_reason"]) == (2, "stop")
    deployment.report("destroy", "my-writer")
