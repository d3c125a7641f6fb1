/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "daemon/run.h"

int main(int argc, char **argv)
{
    static struct config config;
    char why[CONFIG_WHY] = "";

    switch (config_read(argc, argv, &config, why)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_USAGE:
        (void)fprintf(stderr, "ternd: %s\n", why);
        return 2;
    case CONFIG_RUN:
        break;
    }
    return run(&config);
}
