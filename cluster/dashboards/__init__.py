"""What Prometheus scrapes and judges, and what Grafana shows: `prometheus/` and `grafana/` are taken as they are.

`grafana/boards` is made by `python -m cluster.dashboards` out of the modules beside this one.
"""
