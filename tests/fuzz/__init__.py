"""The decoder campaign: `make fuzz` throws millions of hostile inputs at every decoder.

Not a test module: nothing here is collected by pytest. See docs/decisions/decoder-campaign.md.
"""
