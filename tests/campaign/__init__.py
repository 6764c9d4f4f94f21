"""The fault campaign: real servers, services and gateways under real faults, and a verdict on every reading.

See docs/decisions/fault-campaign.md.
"""
