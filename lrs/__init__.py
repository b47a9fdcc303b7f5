"""A complete xAPI LRS; knows nothing of CRM, mappings or reports."""

from lrs.database import Base, db

__all__ = ["Base", "db"]
