"""The standard tags and the user's own together are as many as the strictest service takes."""

from annotated_types import MaxLen

from components.tags import DEPLOYMENT, standard
from stacks.settings_service import Settings

# Of an object in S3 (S3 user guide, object tags).
OF_AN_OBJECT = 10


def test_a_stacks_tags_fit_on_an_object() -> None:
    (most,) = (each.max_length for each in Settings.model_fields["tags"].metadata if isinstance(each, MaxLen))
    assert most + len(standard("", "")) == OF_AN_OBJECT


def test_two_projects_with_a_stack_of_one_name_have_one_tag_apart() -> None:
    assert standard("One", "prod")[DEPLOYMENT] != standard("two", "prod")[DEPLOYMENT]
    assert standard("two", "prod") == {"project": "two", "stack": "prod", "deployment": "two-prod", "managed-by": "pulumi"}
