/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
    /* Only characters: numbers stay with a point, whatever the locale says. */
    (void)setlocale(LC_CTYPE, "");
    return cli_main(argc, argv);
}
