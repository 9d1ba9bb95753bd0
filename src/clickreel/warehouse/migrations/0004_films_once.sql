-- One row a film for whoever joins ref_dim_film: what earlier loads left behind goes; from here on a load replaces all rows at once.
ALTER TABLE ref_dim_film DELETE WHERE loaded_at < (SELECT max(loaded_at) FROM {database}.ref_dim_film) SETTINGS mutations_sync = 2;
