"""`counterflow distil` and `counterflow certify`: what they take; what they do is imported when they run."""

from . import distil_options as d
from . import options as o
from .command_line import command_line
from .config import LEFT_OUT, configuration
from .console import Console


def distil(
    teacher: d.Teacher,
    out: d.StudentOut,
    *,
    data: d.Contexts = None,
    array: o.Array = None,
    hidden: d.Hidden = "256,256",
    layers: d.Layers = 2,
    start_steps: d.StartSteps = 3000,
    steps: d.Steps = 1000,
    batch_size: d.BatchSize = 256,
    learning_rate: d.LearningRate = 2e-3,
    patience: d.Patience = None,
    draws: d.Draws = 10_000,
    seed: o.Seed = 0,
    log: d.Log = None,
    resume: o.Resume = False,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Teach a fast student to draw what a slow teacher draws, and certify it.

    counterflow distil model.safetensors -o student.safetensors

    counterflow distil given.safetensors -o student.safetensors --data events.parquet
    """
    given = dict(locals())
    from .distilling import DistilFiles, Job, run_distil
    from .fitting import Words, use_threads
    from .student_recipe import checked_student

    use_threads(threads)
    recipe = checked_student(given)
    files = DistilFiles(teacher, out, data, array, log, overwrite, resume)
    again = command_line(distil, given, without=LEFT_OUT)
    resumed = command_line(distil, given, without=["resume"], add=["--resume"])
    words = Words(again, resumed, configuration(distil, given))
    run_distil(Job(files, recipe, words), Console(quiet, json))


def certify(
    student: d.Student,
    teacher: d.Teacher,
    *,
    draws: d.Draws = 10_000,
    data: d.Contexts = None,
    array: o.Array = None,
    seed: o.Seed = 0,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Say how far a student is from its teacher, and what it saves.

    counterflow certify student.safetensors model.safetensors
    """
    from .certifying import Certifying, run_certify
    from .fitting import use_threads

    use_threads(threads)
    run_certify(student, teacher, Certifying(draws, data, array, seed), Console(quiet, json))
