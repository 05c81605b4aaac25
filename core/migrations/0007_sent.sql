-- Messages that were sent and not finally refused: at least those that the node accepted of this device.
ALTER TABLE account ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
