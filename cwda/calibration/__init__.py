"""How often the tests and intervals err, measured on layers drawn from known laws."""

from cwda.calibration.designs import DESIGNS, NULL_DESIGNS, SIZES, Design, Size
from cwda.calibration.judgement import binomial_interval
from cwda.calibration.markdown import to_markdown
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.published import summary, table
from cwda.calibration.store import Study, read_study
from cwda.calibration.study import calibrate

__all__ = [
    "DESIGNS",
    "NULL_DESIGNS",
    "PROCEDURES",
    "SIZES",
    "Design",
    "Size",
    "Study",
    "binomial_interval",
    "calibrate",
    "read_study",
    "summary",
    "table",
    "to_markdown",
]
