-- Whether an open hold's stamp has no record in its day's partition: then it can be put there without looking.
-- Offices that do not know the column yet say nothing, and whoever knows it looks.
ALTER TABLE open_hold ADD COLUMN is_first boolean NOT NULL DEFAULT false;
