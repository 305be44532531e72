"""What the patterns' functions run, and what they share with the model server: events, requests, problems, logs.

This folder and `handlers/__init__.py` are all of ours that the functions' zip holds, so nothing here imports another folder of
`handlers`, nor a package beyond the standard library, boto3 (which the Lambda runtime has) and the functions' own lock.
"""
