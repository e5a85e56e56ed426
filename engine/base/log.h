/* SPDX-License-Identifier: MIT */
/* Log lines to standard error, one each: `machnetd: level: text`. Any thread; a line is written by one call. */
#ifndef MACHNET_ENGINE_BASE_LOG_H
#define MACHNET_ENGINE_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING = 1, LOG_LEVEL_INFO = 2, LOG_LEVEL_DEBUG = 3 };

/* Lines above `level` are left out from now on. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* What is not printable in the line becomes '?': names of applications may be in it. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif /* MACHNET_ENGINE_BASE_LOG_H */
