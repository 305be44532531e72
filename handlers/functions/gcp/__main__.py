"""python -m handlers.functions.gcp ROLE

One process of a function on Google Cloud. Exit status: `handlers.web.roles.serve` says it.
"""

import sys

from handlers.web.roles import serve

if __name__ == "__main__":
    sys.exit(serve("handlers.functions.gcp", ("api", "events", "worker", "warmer", "floor")))
