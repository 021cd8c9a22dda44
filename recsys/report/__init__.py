"""A page of results in one file: figures by matplotlib, text and tables in HTML."""

from recsys.report.page import Aside, Line, Report, Row, Showcase

__all__ = ["Aside", "Line", "Report", "Row", "Showcase"]
