"""Google Cloud's side of the functions and of the model server: its metadata server and its APIs over plain HTTP.

The standard library's client costs a cold start 3 ms beside uvicorn; google-cloud-storage costs 265, google-auth with a transport 112.
"""
