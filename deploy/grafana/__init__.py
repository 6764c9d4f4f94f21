"""Grafana: dashboards as code, their JSON beside them, and what provisions them."""
