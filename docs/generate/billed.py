"""What resources cost while nobody calls: one table a cloud for the pages of the stacks and for the test that holds them to it."""

from collections.abc import Mapping

from docs.generate.billed_aws import AWS, AWS_FREE, AWS_USED
from docs.generate.billed_azure import AZURE, AZURE_FREE, AZURE_USED
from docs.generate.billed_gcp import GCP, GCP_FREE, GCP_USED
from docs.generate.idle import Idle

BILLED: tuple[Idle, ...] = (*AWS, *GCP, *AZURE)
# By cloud and part of its SDK: what is billed by the call, or not at all.
FREE: Mapping[str, Mapping[str, str]] = {"aws": AWS_FREE, "gcp": GCP_FREE, "azure-native": AZURE_FREE}
# How a page calls who says today's prices.
SELLERS: Mapping[str, str] = {"aws": "AWS", "gcp": "Google Cloud", "azure-native": "Azure"}
# By type: what of it is billed while somebody calls, beside the calls, in a sentence.
USED: Mapping[str, str] = {**AWS_USED, **GCP_USED, **AZURE_USED}
