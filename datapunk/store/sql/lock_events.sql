-- Keeps writers out, not readers.
lock table events, inbox in share row exclusive mode
