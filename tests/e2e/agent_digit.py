"""An agent for tests: two turns, and the reward is 1 where both of them hold the digit 1."""

import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

TURNS = 2


class Digit(AgentInstanceBase):
    def __init__(self) -> None:
        self.turns: list[str] = []

    async def step(self, states: dict) -> dict:
        self.turns.append(states["action_text"])
        right = torch.tensor(float(len(self.turns) == TURNS and all("1" in turn for turn in self.turns)))
        return {
            "rewards": right,
            "scores": right,
            "environment_feedback": "=",
            "done": len(self.turns) == TURNS,
            "extra_logs": {"turns": torch.tensor([float(len(self.turns))])},
        }


class AgentExecutor(MultiTurnAgentExecutor):
    def __init__(self) -> None:
        super().__init__(Digit)
