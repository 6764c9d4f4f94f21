select scope, key, rule, value, note from nengliu.validation_rule order by scope, key, rule
