insert into projections (name, module) values (%(projection)s, %(module)s) on conflict (name) do nothing
