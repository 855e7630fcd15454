"""A part of the laboratory: how often the tests and intervals err.

They are applied to layers drawn from laws whose true effects are known.
"""

from cwda.calibration.designs import DESIGNS, NULL_DESIGNS, SIZES, STRUCTURES, sizes_of
from cwda.calibration.judgement import Rate
from cwda.calibration.laws import Design, SimulatedLaw, Size
from cwda.calibration.markdown import to_markdown
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.result import CalibrationResult, condense, published, read_calibration
from cwda.calibration.run import calibrate

__all__ = [
    "DESIGNS",
    "NULL_DESIGNS",
    "PROCEDURES",
    "SIZES",
    "STRUCTURES",
    "CalibrationResult",
    "Design",
    "Rate",
    "SimulatedLaw",
    "Size",
    "calibrate",
    "condense",
    "published",
    "read_calibration",
    "sizes_of",
    "to_markdown",
]
