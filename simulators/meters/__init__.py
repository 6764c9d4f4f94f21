"""Simulated meters on simulated lines, which a real master can read: DL/T 645-2007, CJ/T 188-2004, Modbus.

Written from the standards, each on its own: what reads meters is not tested by its own mirror. What a meter counts
(counts), how it is asked (dlt645, cjt188, modbus), what its line does to the bytes (lines, trouble) and where a
master finds the line (ports) know nothing of each other's business.
"""
