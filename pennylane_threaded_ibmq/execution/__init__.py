"""A batch's way: plan, template, shard, lanes, decode."""
