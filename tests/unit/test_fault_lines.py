"""What a user reads last, whatever ended the run."""

import signal

import pytest
from ray._raylet import ActorID
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from aer_openrlhf.cli import train_ppo_ray
from aer_openrlhf.integration import faults, stopping
from aer_openrlhf.integration.leaving import LeaveTraining


def through_ray(error: Exception) -> Exception:
    """The error as the caller of two nested remote calls gets it."""
    for function in ("inner", "outer"):
        cause = getattr(error, "cause", error)
        text = f"Traceback (most recent call last):\n{type(error).__name__}: {error}"
        error = RayTaskError(function, text, cause, pid=1, ip="127.0.0.1").as_instanceof_cause()
    return error


def dead_actor(class_name: str, message: str = "EOF") -> ActorDiedError:
    context = ActorDiedErrorContext(
        class_name=class_name,
        actor_id=ActorID.nil().binary(),
        pid=42,
        node_ip_address="10.0.0.7",
        error_message=message,
    )
    return ActorDiedError(context)


def test_a_fault_is_its_own_line():
    assert faults.explain(through_ray(faults.RunFault("mend the reward"))) == "mend the reward"


def test_the_outermost_of_two_faults_is_told():
    try:
        try:
            raise through_ray(faults.RunFault("the gradients are not finite"))
        except faults.RunFault as inner:
            raise faults.RunFault(f"step 7: {faults.original(inner)}") from inner
    except faults.RunFault as outer:
        assert faults.explain(through_ray(outer)) == "step 7: the gradients are not finite"


@pytest.mark.parametrize(
    ("class_name", "who"),
    [
        ("PolicyModelActorImpl", "a policy rank"),
        ("RolloutRayActorImpl", "a vLLM engine"),
        ("ReferenceModelActorImpl", "a rank of the reference model"),
        ("PPOTrainerImpl", "the controller process"),
        ("TrainingActorImpl", "the controller process"),
        ("GenerateSamplesActorImpl", "the sampling process"),
    ],
)
def test_a_dead_process_is_named_with_its_place(class_name, who):
    line = faults.explain(through_ray(dead_actor(class_name)))
    assert line.startswith(f"{who} (process 42, node 10.0.0.7) died: ")
    assert "start the same command again" in line
    assert "\n" not in line


def test_what_ends_a_run_is_a_death_or_not():
    assert faults.is_death(through_ray(dead_actor("RolloutRayActorImpl")))
    assert faults.is_death(ActorUnavailableError("gone", None))
    assert not faults.is_death(through_ray(faults.RunFault("mend the reward")))
    assert not faults.is_death(through_ray(LeaveTraining("stopped by SIGTERM", 0)))


def failed_start(class_name: str, raised: Exception) -> ActorDiedError:
    """What the caller of an actor gets whose constructor has raised."""
    name = f"{type(raised).__module__}.{type(raised).__qualname__}".removeprefix("builtins.")
    frame = '  File "engine.py", line 7, in __init__\n    start()'
    text = f"Traceback (most recent call last):\n{frame}\n{name}: {raised}"
    actor = f"ray::{class_name}.__init__"
    task_error = RayTaskError("__init__", text, raised, actor, 42, "10.0.0.7", class_name, "0a")
    return ActorDiedError.from_task_error(task_error)


def test_an_actor_that_could_not_start_is_named_with_the_error_of_its_constructor():
    line = faults.explain(through_ray(failed_start("PPOTrainerImpl", KeyError("prompt\n  the second line"))))
    expected = "the controller process (process 42, node 10.0.0.7) could not start: KeyError: 'prompt"
    assert line.startswith(expected) and line.endswith("(traceback above)")
    assert "\n" not in line


def test_a_fault_of_a_constructor_is_its_own_line():
    fault = faults.RunFault("a vLLM engine could not start: its log is x.err")
    assert faults.explain(failed_start("RolloutRayActorImpl", fault)) == str(fault)


def test_a_dead_node_is_no_dead_actor():
    report = "The actor died because its node has died. Node Id: 0a"
    line = faults.explain(through_ray(dead_actor("PPOTrainerImpl", report)))
    assert line.startswith("the Ray node process (node 10.0.0.7) died: ")


def test_an_actor_out_of_reach_points_to_its_node():
    line = faults.explain(ActorUnavailableError("RpcError: Socket closed", None))
    assert line.startswith("the Ray node process of a node died or cannot be reached (")
    assert "Socket closed" in line


def test_any_other_error_is_its_first_line():
    assert faults.explain(through_ray(ValueError("first\nsecond"))) == "ValueError: first (traceback above)"


@pytest.mark.parametrize(
    ("disable_ds", "way_on"),
    [
        (False, "start the same command again: with --ckpt.load_enable it goes on from the newest checkpoint"),
        (
            True,
            "start again: with --ckpt.disable_ds training starts anew, from --actor.model_name_or_path, which may be "
            "the newest folder of --ckpt.save_hf",
        ),
    ],
)
def test_the_last_line_says_how_to_go_on(monkeypatch, capsys, disable_ds, way_on):
    with pytest.raises(SystemExit) as end:
        train_ppo_ray._end(faults.RunFault(f"mend the reward, then {faults.AGAIN}"), disable_ds)
    assert end.value.code == f"aer-train: error: mend the reward, then {way_on}"
    monkeypatch.setattr(stopping, "_key", lambda: b"key")
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_get", lambda key: b"SIGTERM")
    with pytest.raises(LeaveTraining) as leave:
        stopping.StopRequest().raise_if_made()
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        train_ppo_ray._end(leave.value, disable_ds)
    assert end.value.code == 0
    assert capsys.readouterr().err == f"aer-train: stopped by SIGTERM; to go on, {way_on}\n"


@pytest.mark.parametrize(("with_checkpoint", "manner"), [(True, "with a checkpoint after"), (False, "after")])
def test_the_first_signal_asks_and_the_second_ends(monkeypatch, capfd, with_checkpoint, manner):
    asked = []
    monkeypatch.setattr(stopping, "request", asked.append)
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    try:
        stopping.on_signal(with_checkpoint)
        signal.raise_signal(signal.SIGUSR1)
        while not asked:
            pass
        assert asked == ["SIGUSR1"]
        assert f"SIGUSR1: the run ends {manner} the update" in capfd.readouterr().err
        with pytest.raises(SystemExit) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert stop.value.code == 128 + signal.SIGTERM
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
