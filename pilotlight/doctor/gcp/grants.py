"""The commands that grant a deployer what is denied, for whoever manages the project."""

from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.subject import Subject

# What lets somebody look, by the check that could not (Google Cloud's reference of roles); elsewhere the basic role does.
_LOOKING = {
    "project": "roles/browser",
    "billing": "roles/browser",
    "apis": "roles/serviceusage.serviceUsageViewer",
    "quota.gpu": "roles/serviceusage.serviceUsageViewer",
    "quota.size": "roles/serviceusage.serviceUsageViewer",
    "keys": "roles/serviceusage.apiKeysViewer",
}


def grant(subject: Subject, role: str) -> str:
    """The command that grants a role on the project to whose credentials these are; credentials of a person don't tell whose, and who runs
    the command is somebody else."""
    arn = subject.identity.arn if subject.identity else ""
    known = arn if "@" in arn else "YOUR-ADDRESS"
    member = f"{'serviceAccount' if known.endswith('.gserviceaccount.com') else 'user'}:{known}"
    return f"gcloud projects add-iam-policy-binding {subject.google_project} --member {member} --role {role} # by who may"


def to_look(subject: Subject, id: str, error: Exception) -> str:
    """What lets a check look that was refused."""
    return grant(subject, _LOOKING.get(id, "roles/viewer")) if isinstance(error, ApiError) else ""
