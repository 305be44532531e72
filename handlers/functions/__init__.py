"""What the pattern's function runs, and what it shares with the model server: events, requests, problems, logs.

This folder and `handlers/__init__.py` are all that the function's zip holds, so nothing here imports another folder of
`handlers`, nor a package beyond the standard library and boto3 (which the Lambda runtime has).
"""
