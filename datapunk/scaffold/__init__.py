"""What `datapunk module new` makes: a project of an author's own, with a module that works from the start."""
