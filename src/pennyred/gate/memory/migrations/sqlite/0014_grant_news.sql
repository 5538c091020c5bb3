-- What came to the tables of grants lately: workers keep their filters up to date by it (gate/memory/grantkeys.py).

CREATE TABLE grant_news (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- never used twice, so a gap shows what was forgotten unread
  part TEXT NOT NULL,                   -- the table that has a row more
  user TEXT NOT NULL,                   -- empty where the name says it all
  name ANY NOT NULL
) STRICT;

CREATE TRIGGER correspondent_news AFTER INSERT ON correspondent
BEGIN INSERT INTO grant_news (part, user, name) VALUES ('correspondent', NEW.user, NEW.other); END;

CREATE TRIGGER sent_news AFTER INSERT ON sent
BEGIN INSERT INTO grant_news (part, user, name) VALUES ('sent', '', NEW.letter); END;

CREATE TRIGGER permit_news AFTER INSERT ON permit
BEGIN INSERT INTO grant_news (part, user, name) VALUES ('permit', NEW.user, NEW.name); END;

CREATE TRIGGER expected_news AFTER INSERT ON expected
BEGIN INSERT INTO grant_news (part, user, name) VALUES ('expected', NEW.user, NEW.domain); END;

-- The last 10,000 stay, some more between two occasions. Who has not read them by then begins anew.
CREATE TRIGGER grant_news_forgotten AFTER INSERT ON grant_news WHEN NEW.id % 1000 = 0
BEGIN DELETE FROM grant_news WHERE id <= NEW.id - 10000; END;
