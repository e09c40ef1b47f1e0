select name from modules order by name
