"""Models of the Hugging Face hub, pinned to a commit, through its own library."""

import os
from collections.abc import Callable
from pathlib import Path

from pilotlight.packaging.errors import PackagingError, disk_errors_explained
from pilotlight.packaging.tensors import pickled_weights

# Weights in safetensors, one ready ONNX graph, configuration and tokenizer: nothing that runs code, no second copy in another format.
WANTED = ("*.json", "*/config.json", "vocab.txt", "merges.txt", "model*.safetensors", "model.onnx*", "onnx/model.onnx*")
TIMEOUT_S = 30


def snapshot(repo: str, commit: str, cache: Path, *, progress: Callable[[str], None]) -> Path:
    """The folder with the wanted files of that commit; fetched once, then taken from the cache without asking the hub.

    The address is `HF_ENDPOINT`'s, the token the one that the hub's own login has stored. Raises PackagingError for a repository
    or commit that is not there or not open to the caller, for one with pickled weights only, and when the hub can't be reached.
    """
    # Imported on use: half a second that only this kind of source needs. The endpoint is handed over, since the library reads
    # the variable once, at its import.
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    # No answer, or half of one, is an error of whichever HTTP library that version of the hub's library builds its own error on.
    unanswered: tuple[type[BaseException], ...] = (OSError, *HfHubHTTPError.__bases__)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    store = cache / "hub"
    marker = store / "complete" / f"{repo.replace('/', '--')}@{commit}"
    try:
        if marker.is_file():
            return Path(snapshot_download(repo, revision=commit, cache_dir=store, local_files_only=True))
        _refuse_pickles(repo, [item.rfilename for item in api.model_info(repo, revision=commit, timeout=TIMEOUT_S).siblings or ()])
        progress(f"Fetching {repo} at {commit[:12]} from the hub")
        with disk_errors_explained(store):
            folder = Path(snapshot_download(repo, revision=commit, cache_dir=store, allow_patterns=list(WANTED), endpoint=api.endpoint))
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
        return folder
    except LocalEntryNotFoundError as error:
        marker.unlink(missing_ok=True)
        raise PackagingError(
            f"hf://{repo}@{commit}: the hub at {api.endpoint} can't be reached or broke off, or the copy in {store} is gone. Try again."
        ) from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise PackagingError(
            f"hf://{repo}@{commit}: the hub at {api.endpoint} answered {status}. Check the name and the commit; for a model that needs "
            "a login, run `hf auth login` or set HF_TOKEN."
        ) from error
    except unanswered as error:
        raise PackagingError(
            f"hf://{repo}@{commit}: the hub at {api.endpoint} can't be reached or broke off: {error}. Try again."
        ) from error


def _refuse_pickles(repo: str, names: list[str]) -> None:
    if any(name.endswith((".safetensors", ".onnx")) for name in names):
        return
    pickles = pickled_weights(names)
    what = f"only {', '.join(pickles)}, and such files run code when they are opened" if pickles else "no weights"
    raise PackagingError(f"hf://{repo}: the repository has {what}. Use a commit that has model.safetensors.")
