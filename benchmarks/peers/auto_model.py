"""Sentence vectors by `AutoModel` and `AutoTokenizer`, as their documentation has it, without a server: TEXT → a JSON line with its vector.

MODEL is the folder of the model.
"""

import json
import os
import sys

import torch
from transformers import AutoModel, AutoTokenizer

if __name__ == "__main__":
    tokenizer, model = AutoTokenizer.from_pretrained(os.environ["MODEL"]), AutoModel.from_pretrained(os.environ["MODEL"])
    with torch.inference_mode():
        read = tokenizer(sys.argv[1], return_tensors="pt")
        states, mask = model(**read).last_hidden_state, read["attention_mask"][..., None]
        vector = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1))[0]
    print(json.dumps(vector.tolist()), flush=True)
