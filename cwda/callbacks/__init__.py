"""Callbacks that follow the conditions along a training, and what they recorded."""

from cwda.callbacks.frameworks import lightning_callback, trainer_callback
from cwda.callbacks.monitor import Monitor
from cwda.callbacks.reading import read_trajectory, trajectory
from cwda.callbacks.trajectory import Course, EpochCondition, Trajectory

__all__ = [
    "Course",
    "EpochCondition",
    "Monitor",
    "Trajectory",
    "lightning_callback",
    "read_trajectory",
    "trainer_callback",
    "trajectory",
]
