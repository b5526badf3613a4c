"""Why a sampler cannot be exported, in the user's words."""


class ExportProblem(Exception):
    """This model, or this machine, cannot do it; the message says why, and what can."""
