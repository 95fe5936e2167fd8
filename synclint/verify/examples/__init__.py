"""The rules' own examples, executed on a back end, before and after their fixes. Needs torch."""
