"""A page of results in one file: figures by matplotlib, text and tables in HTML."""

from recsys.report.page import Line, Report, Row, Showcase

__all__ = ["Line", "Report", "Row", "Showcase"]
