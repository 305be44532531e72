"""Azure's side of the functions and of the model server: its identity endpoint and its storage over plain HTTP.

The standard library's clients cost a cold start 20 ms beside uvicorn, and the role `api` needs none of them; azure-identity costs 197,
with azure-storage-blob and azure-data-tables 344 (medians of 21 process starts, clients made).
"""
