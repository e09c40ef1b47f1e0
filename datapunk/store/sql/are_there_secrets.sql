select exists (select from secrets)
