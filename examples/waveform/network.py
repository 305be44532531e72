"""The network as a PyTorch module: trained, and exported to ONNX. The only file that needs torch.

`export.py` runs it with the Python of the packager's environment: python network.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
from waves import SHAPES, waves

STEPS, BATCH, RATE = 600, 32, 0.003
# As the packager's own exports have it (pilotlight/packaging/torch_export.py).
OPSET = 20


class Network(torch.nn.Module):
    """Convolutions that see a whole period, then the mean and the most of what they find: a wave may have any length."""

    def __init__(self) -> None:
        super().__init__()
        self.find = torch.nn.Sequential(
            torch.nn.Conv1d(1, 16, 9, padding=4),
            torch.nn.ReLU(),
            torch.nn.Conv1d(16, 16, 9, padding=8, dilation=2),
            torch.nn.ReLU(),
            torch.nn.Conv1d(16, 16, 9, padding=16, dilation=4),
            torch.nn.ReLU(),
        )
        self.decide = torch.nn.Linear(32, len(SHAPES))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Logits [batch, shapes] for samples [batch, length], whatever their size and offset."""
        centred = samples - samples.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True).sqrt() + 1e-6)
        found = self.find(scaled.unsqueeze(1))
        return self.decide(torch.cat([found.mean(2), found.amax(2)], 1))


def trained() -> Network:
    """The network after STEPS batches of waves that it has not seen before."""
    torch.manual_seed(0)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    labels = torch.arange(len(SHAPES)).repeat_interleave(BATCH)
    for step in range(STEPS):
        batch = torch.from_numpy(np.concatenate([waves(shape, BATCH, seed=1000 + step) for shape in SHAPES]))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch), labels).backward()
        optimizer.step()
    return network.eval()


def main(folder: Path) -> None:
    """Write the graph, and the network's own logits for waves that the graph is compared by."""
    network = trained()
    some = torch.from_numpy(np.concatenate([waves(shape, 50, seed=1) for shape in SHAPES]))
    with torch.inference_mode():
        np.savez(folder / "expected.npz", samples=some.numpy(), logits=network(some).numpy())
    sizes = {"samples": {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=64, max=4096)}}
    torch.onnx.export(
        network,
        (some[:2],),
        folder / "exported.onnx",
        input_names=["samples"],
        output_names=["logits"],
        dynamic_shapes=sizes,
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
