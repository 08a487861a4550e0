/* Where the lossy program loses its frame: after it was counted as seen, or as redirected too. */
#pragma once

enum lose_at { LOSE_AFTER_SEEN = 0, LOSE_AFTER_REDIRECTED = 1 };
