"""`relay doctor`: one page of judgement about a relay, each line `ok`, `look` or `act`."""

from relay.app.doctor.line import Diagnosis, Grade
from relay.app.doctor.offline import examine_files
from relay.app.doctor.patient import Patient

__all__ = ["Diagnosis", "Grade", "Patient", "examine_files"]
