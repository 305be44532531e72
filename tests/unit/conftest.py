"""What the tests here would else do again and again with the same result."""

from tests.support.service_descriptions import descriptions_of_services_are_read_once

__all__ = ["descriptions_of_services_are_read_once"]
