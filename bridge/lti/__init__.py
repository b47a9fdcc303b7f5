"""People who come from an LMS by LTI 1.3: which platforms may send them, and what they may see of whom."""
